"""Low-rank pre-training in the proportional limit: the replica fixed point.

Takanami, Takahashi & Kabashima (2025), as an oracle for `iclax.theory.pretrained_risk`.
"""

import numpy as np


def replica_errors(
    context, tasks, prompts, rank, noise_std, ridge, test_context, steps=3000
):
    """Errors on (new tasks of the subspace, a new subspace, seen tasks), test noise 0.

    w = √(D/r) A v with A of r = `rank` D orthonormal columns; other arguments are the
    loads α, κ, τ, the label noise σ, λ in (Σ H Hᵀ + λ K I)⁻¹ and α of the test prompts.
    """
    a, k, t, p, s2 = context, tasks, prompts, rank, noise_std**2

    def spectral(z):
        root = np.sqrt((k * p * z + p - k) ** 2 - 4 * p**2 * k * z)
        g = (k + p - k * p * z - 2 - root) / (2 * z)
        tilde = (-(k * p * z + p - k) - root) / (2 * p * z)
        return g, tilde

    def with_slope(z):
        h = 1e-6 * abs(z)
        up, down = spectral(z + h), spectral(z - h)
        return *spectral(z), (up[0] - down[0]) / (2 * h), (up[1] - down[1]) / (2 * h)

    q = m = chi = q_bar = chi_bar = 0.5
    for _ in range(steps):
        den = 1 + chi + (1 + s2) * chi_bar / a
        q_hat = (t / k) / den
        bar_hat = (t / (a * k)) * (1 + s2) / den
        top = (1 + s2) * q_bar / a + q - 2 * m + 1 + s2
        chi_hat = (t / k) * top / den**2
        chi_bar_hat = (t / (a * k)) * (1 + s2) * top / den**2
        z = -(ridge + bar_hat) / q_hat
        g, _, dg, dtilde = with_slope(z)
        noise = chi_hat / k
        new = np.array(
            [
                (
                    noise * (1 + 2 * z * g + z**2 * dg)
                    + q_hat**2 * (1 + 2 * z + 3 * z**2 * g + z**3 * dg)
                    + chi_bar_hat * (g + z * dg) / k
                )
                / q_hat**2,
                1 + z + z**2 * g,
                (1 + z * g) / (k * q_hat),
                (
                    noise * (g + z * dg)
                    + q_hat**2 * (1 + 2 * z * g + z**2 * dg)
                    + chi_bar_hat * dg / k
                )
                / q_hat**2,
                g / (k * q_hat),
            ]
        )
        q, m, chi, q_bar, chi_bar = 0.5 * np.array([q, m, chi, q_bar, chi_bar]) + (
            0.5 * new
        )
    m_bar = 1 + z * g
    q_new = (
        noise * (g + z * dg) / p
        + q_hat**2 * (1 + 2 * z * g + z**2 * dg) / p
        + chi_bar_hat * dtilde / k
    ) / q_hat**2
    label = q_bar / test_context
    return (
        1 - 2 * m_bar / p + q_new + label,
        1 - 2 * m_bar + q_bar + label,
        (1 - 2 * m + q + label),
    )

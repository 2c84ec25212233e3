"""For each public function of iclax.theory, the tests that are its oracles."""

# function: {kind of oracle: module::test}; "via g" where the test calls it through g.
ORACLES = {
    "adapter_rank": {
        "special case": "subspaces::test_adapter_of_the_needed_rank_is_exactly_enough",
        "linear algebra": "theory_courses::test_adapter_rank_is_that_of_the_change",
    },
    "adapter_risks": {
        "special case": "subspaces::test_adapter_of_the_needed_rank_is_exactly_enough",
        "other solver": "subspaces::"
        "test_alternating_least_squares_finds_the_adapter_and_nothing_better",
    },
    "adapter_update": {
        "second formula": "subspaces::"
        "test_no_update_of_the_same_rank_beats_the_adapter",
        "other solver": "subspaces::"
        "test_alternating_least_squares_finds_the_adapter_and_nothing_better",
    },
    "angle_risks": {
        "published": "subspaces::"
        "test_angle_risks_of_one_subspace_and_of_a_union_reproduce",
        "simulation": "subspaces::"
        "test_angle_risk_is_the_risk_of_the_training_optimum_there",
    },
    "attention_curvature": {
        "autodiff": "theory_full_attention::test_attention_curvature_equals_autodiff",
        "finite differences": "theory_derivations::"
        "test_attention_curvature_is_that_of_the_risk_along_a_line",
    },
    "attention_descent": {
        "flow": "descent::test_slow_descent_of_the_full_layer_is_its_flow",
        "by hand": "theory_derivations::test_attention_descent_by_hand",
    },
    "attention_flow": {
        "special case": "descent::test_full_layer_from_the_gd_start_is_the_merged_flow",
        "other solver": "descent::"
        "test_full_layer_leaves_the_gd_form_for_tasks_with_a_mean",
    },
    "attention_gradient": {
        "autodiff": "theory_full_attention::test_attention_gradient_equals_autodiff",
        "second formula": "theory_attention_optimum::"
        "test_heads_gradient_is_the_gradient_in_the_cubic_features",
    },
    "attention_moments": {
        "quadrature": "theory_derivations::test_attention_moments_against_quadrature",
        "simulation": "theory_derivations::test_attention_risk_and_gradient_simulated",
    },
    "attention_risk": {
        "quadrature": "theory_full_attention::test_attention_risk_equals_quadrature",
        "simulation": "theory_full_attention::test_attention_risk_equals_simulation",
    },
    "bayes_risk": {
        "simulation": "theory_reference_risks::test_bayes_risk_equals_simulation",
        "quadrature": "theory_reference_risks::"
        "test_bayes_risk_of_one_dimension_is_an_integral",
    },
    "best_gradient_descent": {
        "special case": "theory_reference_risks::"
        "test_one_best_step_is_the_best_plain_step",
        "grid": "theory_reference_risks::test_the_best_shared_step_is_that_of_a_grid",
    },
    "best_plain_step": {
        "published": "theory_one_layer::test_mahankali_theorem_three",
        "quadrature": "theory_one_layer::test_risk_and_optimum_equal_quadrature",
    },
    "certify": {
        "published": "theory_certificate::test_theorems_are_certified",
        "autodiff": "theory_certificate::"
        "test_smallest_eigenvalue_equals_autodiff_and_lanczos",
    },
    "context_length_risks": {
        "second formula": "subspaces::"
        "test_context_length_risks_equal_one_evaluation_each",
        "simulation": "theory_courses::test_subspace_risks_are_simulated",
    },
    "descend": {
        "by hand": "descent::test_steps_are_the_textbook_ones",
        "flow": "descent::test_slow_gradient_descent_is_the_flow",
    },
    "design_weights": {
        "grid": "design::test_two_weights_are_those_of_a_fine_grid",
        "optimality": "design::test_the_design_satisfies_the_conditions_of_a_minimax",
    },
    "effective_preconditioner": {
        "autodiff": "theory_derivations::"
        "test_effective_preconditioner_is_the_slope_in_y",
        "second formula": "theory_full_attention::"
        "test_gd_attention_has_the_risk_of_the_preconditioner",
    },
    "facts": {
        "simulation": "facts::test_kernel_and_mean_are_those_of_drawn_functions",
        "quadrature": "theory_moments::"
        "test_closed_forms_equal_quadrature_of_the_kernel via moments",
    },
    "flat_half_drop_time": {
        "flow": "dynamics::"
        "test_closed_half_drop_time_where_the_covered_directions_are_alike",
        "published": "theory_courses::test_flat_half_drop_times_of_the_published_table",
    },
    "flow": {
        "autodiff": "dynamics::test_flows_follow_the_autodiff_gradient",
        "published": "dynamics::test_half_drop_times_of_the_merged_flow_reproduce",
    },
    "flow_losses": {
        "other solver": "dynamics_traced::"
        "test_losses_and_times_equal_those_of_the_numpy_flow",
        "closed form": "theory_courses::test_traced_losses_follow_the_published_course",
    },
    "flow_time": {
        "other solver": "dynamics_traced::"
        "test_losses_and_times_equal_those_of_the_numpy_flow",
        "finite differences": "dynamics_traced::"
        "test_gradient_of_the_escape_time_in_the_mixture_weights",
    },
    "gd_attention": {
        "definition": "theory_derivations::test_gd_attention_predicts_as_the_step_does",
        "second formula": "theory_full_attention::"
        "test_gd_attention_has_the_risk_of_the_preconditioner",
    },
    "gd_form_reason": {
        "convex optimum": "theory_derivations::test_reasons_hold_at_the_convex_optimum",
        "simulation": "facts::"
        "test_a_claimed_sign_symmetry_is_true_and_a_denied_one_false"
        " via is_sign_symmetric",
    },
    "gradient_descent_risk": {
        "simulation": "theory_reference_risks::"
        "test_risks_with_isotropic_covariates_equal_simulation",
        "second formula": "theory_reference_risks::"
        "test_descent_on_the_spectrum_equals_pairings",
    },
    "gradient_from_attention_moments": {
        "quadrature": "theory_derivations::test_attention_moments_against_quadrature",
        "simulation": "theory_derivations::test_attention_risk_and_gradient_simulated",
    },
    "head_time": {
        "flow": "dynamics::test_head_time_inverts_the_flow_of_an_aligned_head",
        "quadrature": "theory_courses::test_head_time_is_an_integral",
    },
    "is_rotation_invariant": {
        "convex optimum": "theory_derivations::test_reasons_hold_at_the_convex_optimum",
        "simulation": "facts::"
        "test_a_claimed_rotation_invariance_is_true_and_a_denied_one_false"
        " via rotation_invariant",
    },
    "is_sign_symmetric": {
        "convex optimum": "theory_derivations::test_reasons_hold_at_the_convex_optimum",
        "simulation": "facts::"
        "test_a_claimed_sign_symmetry_is_true_and_a_denied_one_false",
    },
    "isotropic_pretrained_risk": {
        "published": "finite_data::test_recorded_means_at_dimension_100",
        "second formula": "finite_data::"
        "test_general_formula_is_the_closed_one_for_isotropic_tasks",
    },
    "isotropic_seen_task_risk": {
        "published": "finite_data::test_recorded_means_at_dimension_100",
        "second formula": "finite_data::"
        "test_general_formula_is_the_closed_one_for_isotropic_tasks",
    },
    "label_frequency_loss": {
        "published": "families::"
        "test_published_conjunction_constants_are_label_frequency_losses",
        "enumeration": "families::test_label_frequency_loss_by_enumeration",
    },
    "layer_optimum": {
        "convex optimum": "layer_optimum::"
        "test_the_verdict_on_the_gd_form_is_that_of_the_exact_optima",
        "simulation": "layer_optimum::test_a_layer_that_leaves_the_gd_form_beats_it",
    },
    "linear_rates": {
        "autodiff": "dynamics::test_linear_rates_are_the_hessian_of_half_the_risk",
        "flow": "theory_courses::test_linear_rates_are_those_of_the_flow",
    },
    "logistic_gain": {
        "flow": "dynamics::test_isotropic_flow_is_logistic",
        "published": "theory_courses::test_traced_losses_follow_the_published_course",
    },
    "make_parametrization": {
        "autodiff": "theory_courses::test_parametrizations_follow_their_slope",
        "other solver": "dynamics::test_flows_follow_the_autodiff_gradient via flow",
    },
    "moments": {
        "quadrature": "theory_moments::"
        "test_closed_forms_equal_quadrature_of_the_kernel",
        "simulation": "families::test_moments_match_simulation",
    },
    "multi_head_optimum": {
        "quadrature": "theory_attention_optimum::"
        "test_multi_head_optimum_equals_least_squares_on_the_quadrature_grid",
        "special case": "theory_attention_optimum::"
        "test_sign_symmetric_tasks_stay_in_the_gd_form",
    },
    "no_context_loss": {
        "simulation": "families::test_no_context_loss_is_the_variance_given_the_query",
        "enumeration": "families::test_no_context_loss_of_binary_tasks_by_counting",
    },
    "no_context_risk": {
        "simulation": "facts::test_moments_are_exact_or_refused_under_all_covariates",
        "closed form": "facts::test_no_context_risk_of_tasks_with_a_mean",
    },
    "off_span_risk": {
        "simulation": "subspaces::test_off_span_tasks_are_lost",
        "closed form": "theory_courses::test_off_span_risk_is_power_plus_variance",
    },
    "optimal_attention": {
        "published": "theory_attention_optimum::"
        "test_tasks_with_a_mean_leave_the_gd_form",
        "simulation": "theory_attention_optimum::"
        "test_the_optimum_off_the_gd_form_beats_it_in_simulation",
    },
    "optimal_preconditioner": {
        "published": "theory_one_layer::test_ahn_theorem_one",
        "quadrature": "theory_one_layer::test_risk_and_optimum_equal_quadrature",
    },
    "optimal_risk": {
        "published": "theory_one_layer::test_mahankali_theorems_one_and_two",
        "simulation": "theory_one_layer::test_risks_equal_simulation",
    },
    "optimum_from_moments": {
        "quadrature": "theory_derivations::test_prompt_moments_against_quadrature",
        "simulation": "simulated_moments::"
        "test_simulated_moments_stand_in_for_exact_ones",
    },
    "orthogonal_basis": {
        "special case": "subspaces::"
        "test_orthogonal_basis_of_unit_vectors_is_the_next_unit_vectors",
        "other library": "theory_courses::test_orthogonal_basis_is_the_null_space",
    },
    "plateau_directions": {
        "published": "plateau_directions::"
        "test_merged_flow_gives_the_half_drop_times_of_orthogonal_and_shared_columns",
        "other solver": "plateau_directions::"
        "test_slow_gradient_descent_goes_the_way_of_the_flow",
    },
    "preconditioner_curvature": {
        "autodiff": "theory_one_layer::test_gradient_and_curvature_equal_autodiff",
        "finite differences": "theory_one_layer::"
        "test_gradient_is_the_slope_of_the_risk_along_any_line",
    },
    "preconditioner_curvatures": {
        "autodiff": "theory_one_layer::test_gradient_and_curvature_equal_autodiff",
        "finite differences": "theory_one_layer::"
        "test_gradient_is_the_slope_of_the_risk_along_any_line",
    },
    "preconditioner_distance": {
        "simulation": "theory_distance::"
        "test_the_prediction_distance_is_that_of_simulated_predictions",
        "second formula": "theory_distance::test_distances_of_diagonal_steps_by_hand",
    },
    "preconditioner_gradient": {
        "autodiff": "theory_one_layer::test_gradient_and_curvature_equal_autodiff",
        "finite differences": "theory_one_layer::"
        "test_gradient_is_the_slope_of_the_risk_along_any_line",
    },
    "preconditioner_risk": {
        "quadrature": "theory_one_layer::test_risk_and_optimum_equal_quadrature",
        "simulation": "theory_one_layer::test_risks_equal_simulation",
    },
    "pretrained_risk": {
        "second formula": "finite_data::"
        "test_low_rank_pretraining_with_ridge_equals_the_replica_fixed_point",
        "simulation": "finite_data::"
        "test_brute_force_pretraining_extrapolates_to_the_formula via pretrained_risk",
    },
    "prompt_moments": {
        "quadrature": "theory_derivations::test_prompt_moments_against_quadrature",
        "simulation": "simulated_moments::"
        "test_simulated_moments_stand_in_for_exact_ones",
    },
    "query_moments": {
        "quadrature": "theory_moments::"
        "test_query_moments_equal_quadrature_of_the_kernel",
        "enumeration": "theory_moments::"
        "test_query_moments_of_neurons_equal_the_average_over_the_cube",
    },
    "rectangular_risk": {
        "second formula": "finite_data::"
        "test_rectangular_risk_without_label_energy_is_the_preconditioner_risk",
        "simulation": "finite_data::"
        "test_rectangular_risk_is_the_mean_of_simulated_prompts",
    },
    "register_facts": {
        "definition": "facts::test_a_family_of_ones_own_has_exact_theory",
        "simulation": "facts::"
        "test_kernel_and_mean_are_those_of_drawn_functions via facts",
    },
    "reweighted": {
        "definition": "design::test_reweighted_is_the_same_law_with_other_weights",
        "second formula": "theory_derivations::test_reweighted_moments_are_averages",
    },
    "ridge_risk": {
        "simulation": "theory_reference_risks::"
        "test_risks_with_isotropic_covariates_equal_simulation",
        "published": "theory_reference_risks::"
        "test_least_squares_has_its_classical_risk",
    },
    "risk": {
        "simulation": "theory_risk::test_every_exact_risk_is_that_of_the_object",
        "second formula": "theory_risk::"
        "test_no_part_of_a_layer_is_dropped_where_only_the_gd_form_is_known",
    },
    "risk_from_attention_moments": {
        "quadrature": "theory_derivations::test_attention_moments_against_quadrature",
        "simulation": "theory_derivations::test_attention_risk_and_gradient_simulated",
    },
    "risk_from_moments": {
        "quadrature": "theory_derivations::test_prompt_moments_against_quadrature",
        "simulation": "theory_one_layer::test_risks_equal_simulation"
        " via preconditioner_risk",
    },
    "risks_at_lengths": {
        "second formula": "theory_risk::"
        "test_risks_at_lengths_equal_one_evaluation_each",
        "simulation": "context_curve::"
        "test_a_layer_that_does_not_divide_by_n_has_its_own_curve via context_curve",
    },
    "saddles": {
        "published": "dynamics::"
        "test_saddle_losses_of_isotropic_tasks_are_the_published_ones",
        "flow": "dynamics::test_aligned_heads_rest_at_the_saddle",
    },
    "seen_task_risk": {
        "second formula": "finite_data::"
        "test_low_rank_pretraining_with_ridge_equals_the_replica_fixed_point",
        "simulation": "finite_data::"
        "test_brute_force_pretraining_extrapolates_to_the_formula via seen_task_risk",
    },
    "single_subspace_risk": {
        "second formula": "subspaces::test_single_subspace_closed_form",
        "simulation": "theory_courses::test_subspace_risks_are_simulated",
    },
    "spectral_mean": {
        "special case": "theory_reference_risks::"
        "test_spectral_mean_has_the_known_trace_moments",
        "simulation": "theory_reference_risks::"
        "test_spectral_mean_equals_simulated_spectra",
    },
    "task_kernel": {
        "simulation": "theory_moments::"
        "test_task_kernel_is_the_mean_product_of_sampled_values",
        "quadrature": "theory_moments::"
        "test_query_moments_equal_quadrature_of_the_kernel",
    },
    "task_risk": {
        "second formula": "subspaces::test_task_risk_is_the_risk_on_each_task",
        "simulation": "theory_courses::test_subspace_risks_are_simulated",
    },
    "token_moments": {
        "second formula": "theory_moments::"
        "test_token_moments_of_pools_and_sparse_tasks_equal_their_mixtures",
        "quadrature": "theory_full_attention::test_attention_risk_equals_quadrature"
        " via attention_risk",
    },
    "union_risk": {
        "second formula": "subspaces::test_union_closed_form_at_any_angle",
        "simulation": "theory_courses::test_subspace_risks_are_simulated",
    },
    "zero_risk": {
        "quadrature": "theory_one_layer::test_risk_and_optimum_equal_quadrature",
        "simulation": "theory_one_layer::test_risks_equal_simulation",
    },
}

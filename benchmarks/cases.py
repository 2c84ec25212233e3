"""All cases by name: each returns its rows; `quick` only shows that it works."""

import decoders
import ensembles
import layers
import references

CASES = layers.CASES | references.CASES | decoders.CASES | ensembles.CASES

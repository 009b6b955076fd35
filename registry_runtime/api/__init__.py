"""HTTP words only: one file for each noun of the API; every URL stands in `registry_runtime.app`."""

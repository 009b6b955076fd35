"""Pure values and rules of the OCI specifications: text becomes a value here, and stays one."""

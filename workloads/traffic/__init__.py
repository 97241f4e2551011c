"""What users ask of a cluster: requests from traces or from stated laws, one by one or as conversations."""

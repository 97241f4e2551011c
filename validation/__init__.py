"""What reality says: suites that compare predictions with published and measured figures."""

"""The test kit: virtual time, scripted peers, builders."""

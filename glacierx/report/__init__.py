"""Room: results as one HTML page that opens without a network."""

"""The values that travel through the product: frozen, pure, and named in Redis's own words."""

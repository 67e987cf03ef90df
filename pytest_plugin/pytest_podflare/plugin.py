"""What pytest loads: wiring only."""

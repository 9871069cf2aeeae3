"""Speed of calhub beside its peers and the floors, on the same data, on one machine, in one run."""

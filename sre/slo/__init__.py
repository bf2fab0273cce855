"""What the shop promises its customers, and how much of the promise is left."""

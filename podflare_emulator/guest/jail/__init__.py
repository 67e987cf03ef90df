"""The isolation backends' inner half: one file a backend, and the kernel calls they stand on."""

"""Copy arrays between IDX, ``.npy`` and ``.npz`` files."""

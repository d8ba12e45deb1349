"""The learned magnifiers, one module each, with a torch-free `*_spec.py` beside it."""

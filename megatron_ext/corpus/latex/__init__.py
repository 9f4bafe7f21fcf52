"""Papers in LaTeX to text: files joined (`files.py`), own macros written out (`macros.py`), the frame taken off (`paper.py`)."""

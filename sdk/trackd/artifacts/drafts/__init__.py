"""How files come into a draft.

Owns the folder of staged copies, the walk through the user's folders, and the bar shown meanwhile.
Called by `contents`, which makes entries of the files, and by `records`, which hands them over.
"""

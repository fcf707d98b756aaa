"""Media: values that `log()` stores as files and refers to in the row.

Owns: one class per kind of media, the form in which each appears in history, the layout of
`media/` in the run's files folder. Heavy libraries are imported by the value that needs one.
"""

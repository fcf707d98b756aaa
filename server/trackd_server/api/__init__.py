"""HTTP: who may call, GraphQL, `file_stream`, transfers of files, documents, pages.

Translates between HTTP and `domain`; decides nothing about runs itself. Every call into `domain`
runs in a worker thread.
"""

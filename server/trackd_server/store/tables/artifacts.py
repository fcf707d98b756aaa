"""Tables of artifacts: types, collections, versions, their aliases, tags, links and manifests."""

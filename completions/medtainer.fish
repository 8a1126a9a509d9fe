complete --keep-order --exclusive --command medtainer --arguments "(COMPLETE=fish medtainer -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"

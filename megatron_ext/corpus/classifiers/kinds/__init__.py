"""One file a kind of classifier, `--classifier NAME`. Each offers

Flags                        its group of flags, each named after the file; light to import
features(c)                  what the flags say of it, for the JSON beside the model: with it a model is made, and asked, again
train(examples, path, c)     learn from `examples()`, which gives `(text, whether it is of the scored class)` in a shuffled
                             order each time it is called, and write the model to `path`, a file or a folder
load(path, features)         from a model to `score(text)`, the probability of the scored class; UserError: it cannot be read
"""

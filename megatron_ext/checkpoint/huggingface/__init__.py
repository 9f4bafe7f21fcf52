"""One file a family of Hugging Face's models, named like the `model_type` of its config.json (MODEL_TYPE, where that has a dash).

A module offers

    ARCHITECTURE                the class, as config.json names it
    flags(settings) -> dict     config.json → our flags of the model, by field name (`conversion/settings.py` reads the keys)
    config(values) -> dict      our flags → config.json's keys
    TENSORS                     our parameters ↔ its tensors (`conversion/mapping.py`), read in both directions
    DEFAULTS                    what the class takes where config.json has not the key, and a null would say something else
    LEARNT                      flags of its task, where that is not what the architecture is mostly for
    OPTIONAL_PREFIX, IGNORED    where there are some: what older folders leave out of the names, and tensors that are no weights

    in_folder(settings, names)  where config.json may say what the tensors do not hold: the keys that are otherwise

and `tensors(values)` in place of TENSORS where they depend on our flags.

What the family cannot hold is not said: `flags(config(values))` differs from `values` there (`conversion/families.py`).
"""

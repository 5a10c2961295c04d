"""Reports: the files of a finished run -> one HTML page, and the same as Markdown.

`stored` reads what `finetune`, `evaluate` and `sweep` wrote; `sections` turn it into `blocks`
(paragraphs, tables, figures, questions), which know nothing of a format; `html` and `markdown`
write these. Nothing is asked again: a report is made from files alone, also of an old run.
"""

//! Problems of how a document is written: markdown, headings, fields, signatures, front matter.

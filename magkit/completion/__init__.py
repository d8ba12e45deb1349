"""Shell completion: `magkit _values` answers, and `scripts/` holds the script of each shell.

A script holds no commands. At every TAB it runs `magkit _values -- WORD...` and offers the answer.
"""

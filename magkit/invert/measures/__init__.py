"""The measures by which inverted pictures are judged; none of them is ever optimised."""

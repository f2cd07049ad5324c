"""Items to scales, with how reliable they are."""

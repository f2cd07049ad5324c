"""Running every report of a term: plan, worker processes, pages, index, manifest."""

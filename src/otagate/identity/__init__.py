"""Who otagate is to a cloud: the CI's own identity first, stored keys last."""

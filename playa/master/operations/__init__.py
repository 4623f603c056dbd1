"""Operations on resources: whether they can be right, and how they are applied."""

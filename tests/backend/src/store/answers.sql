-- Old answers are found without a look at all the others: each command drops those of its agent.
CREATE INDEX answers_by_age ON answers (account, at);

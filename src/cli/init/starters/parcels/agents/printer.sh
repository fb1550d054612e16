# What it prints is the slip: the step has a single output, and that is a text.
echo "$ORDERFLOW_ITEM goes by $IN_SERVICE"

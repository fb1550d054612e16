# Does two steps, and tells by ORDERFLOW_STEP which one it is asked for.
case "$ORDERFLOW_STEP" in
  ChooseService) if [ "$IN_GRAMS" -gt 2000 ]; then echo freight; else echo letter; fi ;;
  *) echo "will call about $ORDERFLOW_ITEM" ;;
esac

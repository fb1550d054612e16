# Does all steps; ORDERFLOW_STEP names the step, and each input is a variable. What it prints is the output of the step.
case "$ORDERFLOW_STEP" in
  RunTests) echo 42 ;;                              # the number of tests that passed; exit 65 if one failed
  ScanLicences) echo true ;;
  CheckStyle) echo '["main.py:7: line too long"]' ;;
  Build) echo "dist/demo-$IN_VERSION.tar.gz" ;;
  Publish) echo "https://registry.example.org/${IN_ARCHIVE#dist/}" ;;
  Withdraw) echo "withdrew $IN_URL" ;;
  Tag) echo "v$IN_VERSION" ;;
  Announce) echo "$IN_TAG is out: $IN_URL" ;;
esac

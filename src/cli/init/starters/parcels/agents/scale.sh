# Answers with the weight that the parcel says it has. All inputs are one JSON object on standard input.
grep -o '"grams": *[0-9]*' | grep -o '[0-9]*$'

"""Writes order confirmations from a template. It stands where a language model will stand: the same three texts go
in, the same four come out, and equal orders get equal letters."""

import contract


def write_confirmation(_, call):
    name, details, total = (call.inputs[given] for given in ("customer_name", "order_details", "total_amount"))
    letter = {
        "greeting": f"Dear {name},",
        "order_summary": f"thank you for your order: {details}. It comes to {total:.2f} USD.",
        "next_steps": "We pack it now; it is with you in 3 to 5 business days. Just reply if you have a question.",
        "tracking_info": "With this number you can follow your parcel:",
    }
    length = sum(map(len, letter.values()))
    personal = "standard" if name == "Valued Customer" else "high"
    return {**letter, "written_by": "template", "personalization": personal, "content_length": length}


contract.serve(lambda: None, WriteConfirmation=write_confirmation)

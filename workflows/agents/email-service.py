"""email-service: confirms orders to their customers, and takes back what it has confirmed."""

import post
import shop


def send_confirmation_email(db, call):
    order, payment, shipment = call.inputs["order"], call.inputs["payment"], call.inputs["shipment"]
    subject = f"Your order {order['order_id']} is confirmed"
    body = (
        f"Thank you for your order.\nPaid: ${payment['amount']} ({payment['transaction_id']})\n"
        f"Tracking number: {shipment['tracking_number']}, to arrive on {shipment['estimated_delivery']}\n"
    )
    post.send(db, call, order["order_id"], order["email"], subject, body)
    return {"confirmation": {"email_sent": True, "email_id": post.email_id(call)}}


def send_cancellation_email(db, call):
    """Writes only to who may have got the other letter: the mail server took it, or it may have."""
    with db:
        shop.begin(db)
        shop.forbid(db, call)
        letter = db.execute("SELECT recipient FROM letters WHERE key = ?", (call.forward_key,)).fetchone()
    if letter is None:
        return {"cancellation": {"email_sent": False, "email_id": None}}
    order_id = call.inputs["order"]["order_id"]
    subject = f"Your order {order_id} is cancelled"
    body = "We are sorry: we cannot deliver this order. Nothing will be sent, and your payment is given back.\n"
    post.send(db, call, order_id, letter["recipient"], subject, body)
    return {"cancellation": {"email_sent": True, "email_id": post.email_id(call)}}


shop.serve(SendConfirmationEmail=send_confirmation_email, SendCancellationEmail=send_cancellation_email)

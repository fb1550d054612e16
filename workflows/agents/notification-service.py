"""notification-service: writes to the customer."""

import post
import shop


def notify_customer(db, call):
    paid, tracking_number = call.inputs["payment_result"], call.inputs["tracking_number"]
    order_id = paid["order_id"]
    where = (call.run, order_id)
    order = db.execute("SELECT email FROM orders WHERE run = ? AND order_id = ?", where).fetchone()
    if order is None:
        raise shop.Refused(f"{order_id} is not in the books", "unknown_order", email_sent=False)
    subject = f"Your order {order_id} is on its way"
    body = f"Thank you for your order.\nPaid: ${paid['amount']} ({paid['id']})\nTracking number: {tracking_number}\n"
    post.send(db, call, order_id, order["email"], subject, body)
    return {"notification_sent": True, "email_sent": True}


shop.serve(NotifyCustomer=notify_customer)

# Receives messages of the queue. It reports a bad one as failed, so that SQS delivers it again.
import json


def handler(event):
    failed = []
    for record in event["Records"]:
        message = json.loads(record["body"])
        print("delivering", message["text"], "of", message["user"])
        if message["text"] == "bad":
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


serve(handler)

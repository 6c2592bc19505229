# Replies with the body that it received. The body "fail" makes it fail, "sleep" makes it sleep.
import time


def handler(event):
    body = event["body"]
    if body == "fail":
        raise RuntimeError("asked to")
    if body == "sleep":
        print("sleeping", flush=True)
        time.sleep(3600)
    return {"statusCode": 200, "body": event["stageVariables"]["color"] + ": " + body}


serve(handler)

# Answers with what it got; the body "fail" makes it fail.
def handler(event):
    body = event["body"]
    if body == "fail":
        raise RuntimeError("asked to")
    return {"statusCode": 200, "body": event["stageVariables"]["color"] + ": " + body}


serve(handler)

# A REQUEST authorizer: the token is a user's name.
def handler(event):
    token = event["queryStringParameters"]["token"]
    print("asked about", token)
    if token == "unknown":
        raise Exception("Unauthorized")
    if token == "broken":
        raise ValueError("no directory")
    return {
        "principalId": token,
        "policyDocument": {"Version": "2012-10-17", "Statement": [{
            "Action": "execute-api:Invoke", "Effect": "Deny" if token == "mallory" else "Allow", "Resource": event["methodArn"],
        }]},
        "context": {"user": token, "level": 3, "guest": False},
    }


serve(handler)

def handler(event):
    print("guarding", event["methodArn"].rsplit("/", 1)[1])
    return {
        "principalId": "someone",
        "policyDocument": {"Version": "2012-10-17", "Statement": {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": "*"}},
    }


serve(handler)

# Posts to its own caller, for which it has no permission, and prints the result.
import os
import urllib.error
import urllib.parse
import urllib.request


def handler(event):
    if "Records" in event:
        print("lost:", len(event["Records"]))
        return None
    id = event["requestContext"]["connectionId"]
    request = urllib.request.Request(
        os.environ["URL"] + "/@connections/" + urllib.parse.quote(id, safe=""), data=b"said",
        # The local gateway looks for the access key and does not verify signatures.
        headers={"X-Amz-Date": "20250101T000000Z", "Authorization": "AWS4-HMAC-SHA256 Credential=" + os.environ["AWS_ACCESS_KEY_ID"] +
                 "/20250101/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=0"})
    try:
        status, text = urllib.request.urlopen(request).status, ""
    except urllib.error.HTTPError as e:
        status, text = e.code, e.read().decode()
    print(os.environ["STAGE"], status, text)
    return {"statusCode": 200, "body": "not sent to any client"}


serve(handler)

# A custom runtime: the function below it calls serve(handler). Source: the documentation of Lambda's Runtime API.
import http.client
import json
import os
import sys


def serve(handler):
    host, _, prefix = os.environ["AWS_LAMBDA_RUNTIME_API"].partition("/")
    base = "/" + prefix + "/2018-06-01/runtime/invocation/"
    connection = http.client.HTTPConnection(host)

    def call(method, path, body=None):
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.headers, response.read()

    while True:
        headers, event = call("GET", base + "next")
        invocation = base + headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            answer = handler(json.loads(event))
        except Exception as e:
            call("POST", invocation + "/error", json.dumps({"errorType": type(e).__name__, "errorMessage": str(e)}))
        else:
            call("POST", invocation + "/response", json.dumps(answer))
        sys.stdout.flush()



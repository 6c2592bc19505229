# A runtime in Python, written from the Runtime API's documentation. The event selects its behaviour.
import http.client
import json
import os
import sys
import time

address = os.environ["AWS_LAMBDA_RUNTIME_API"]
host, _, prefix = address.partition("/")
base = "/" + prefix + "/2018-06-01/runtime"


def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(host)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def post(path, document, headers={}):
    status, _, body = call("POST", base + path, json.dumps(document).encode(), headers)
    return [status, json.loads(body)]


if os.environ.get("INIT") == "error":
    early = post("/invocation/none/response", {})
    first = post("/init/error", {"errorType": "Extension.Broken", "errorMessage": "no database"},
                 {"Lambda-Runtime-Function-Error-Type": "Extension.Broken"})
    print("answers", early[0], early[1]["errorType"], first[0])
    print("again", post("/init/error", {})[1]["errorType"], call("GET", base + "/invocation/next")[0])
    sys.stdout.flush()
    sys.exit(1)

while True:
    status, headers, event = call("GET", base + "/invocation/next")
    invocation = "/invocation/" + headers["Lambda-Runtime-Aws-Request-Id"]
    order = json.loads(event)
    do = order["do"]
    result = {"headers": {name: value for name, value in headers.items()}, "event": order}
    if do == "wrong id":
        result = post("/invocation/8a9f3c5e-0000-4000-8000-000000000000/response", {})
    elif do == "twice":
        post(invocation + "/response", {"first": True})
        second = post(invocation + "/response", {"second": True})
        print("second", second[0], second[1]["errorType"])
        sys.stdout.flush()
        continue
    elif do == "error without type":
        call("POST", base + invocation + "/error", b"not JSON")
        continue
    elif do == "typed by header":
        post(invocation + "/error", {"errorMessage": "m"}, {"Lambda-Runtime-Function-Error-Type": "Function.ByHeader"})
        continue
    elif do == "paths":
        result = {}
        for method, path in order["paths"]:
            status, _, body = call(method, "/" + prefix + path, b"{}" if method == "POST" else None)
            result[method + " " + path] = [status, json.loads(body)]
    elif do == "foreign":
        status, _, body = call("GET", "/guess/2018-06-01/runtime/invocation/next")
        result = [status, json.loads(body)]
    elif do == "headers":
        result = post(invocation + "/response", {}, order["headers"])
        result = {"refused": result}
    elif do == "next again":
        status, headers, event = call("GET", base + "/invocation/next")
        result = {"same": headers["Lambda-Runtime-Aws-Request-Id"] == invocation.rpartition("/")[2],
                  "event": json.loads(event)}
    elif do == "work on":
        post(invocation + "/response", "answered")
        while not os.path.exists(order["until"]):
            time.sleep(0.005)
        print("worked on")
        sys.stdout.flush()
        continue
    elif do == "die after":
        post(invocation + "/response", "answered")
        os._exit(7)
    post(invocation + "/response", result)

// Broadcasts its argument to every client and prints the broadcast's id.
import { randomUUID } from "node:crypto";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const [message] = process.argv.slice(2);
if (!message || !process.env.QUEUE_URL) {
  console.error("usage: QUEUE_URL=... node publish.mjs MESSAGE");
  process.exit(2);
}
const sqs = new SQSClient({});
const id = randomUUID(); // with an id, a retry cannot broadcast the message twice
await sqs.send(new SendMessageCommand({
  QueueUrl: process.env.QUEUE_URL,
  MessageBody: message,
  MessageAttributes: { broadcastId: { DataType: "String", StringValue: id } },
}));
console.log(id);

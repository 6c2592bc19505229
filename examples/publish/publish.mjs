// Publishes its argument to every client; prints the broadcast's id.
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const sqs = new SQSClient({});
const answer = await sqs.send(new SendMessageCommand({ QueueUrl: process.env.QUEUE_URL, MessageBody: process.argv[2] }));
console.log(answer.MessageId);

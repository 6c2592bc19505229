// A broadcast server with the library ws: every client receives each message. DROP=n drops every nth send.
import { WebSocket, WebSocketServer } from "ws";

const drop = Number(process.env.DROP);
let sends = 0;
let dropped = 0;
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("listening", () => console.log(`PORT ${server.address().port}`));
server.on("connection", (socket) => {
  socket.on("message", (data) => {
    for (const client of server.clients) {
      if (client.readyState !== WebSocket.OPEN) continue;
      sends++;
      if (drop && sends % drop === 0) dropped++;
      else client.send(data.toString());
    }
  });
});
process.stdin.resume().on("end", () => {
  console.log(`DROPPED ${dropped}`);
  process.exit(0);
});

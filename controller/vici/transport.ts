/** What the session needs of a stream socket; controller/io has the real one, tests a fake. */
export interface ViciTransport {
  /**
   * Queues the octets behind those of earlier calls. They belong to the transport until it calls `written`, which it does exactly once:
   * when the octets are out, or when they never will be. Never throws: a connection that cannot take them ends (onClose).
   */
  write(bytes: Uint8Array, written: () => void): void;
  /** Octets from the other side, in order, in chunks that mean nothing. They are only good during the call. */
  onData(listener: (bytes: Uint8Array) => void): void;
  /** The connection has ended without our doing, once; `error` absent: the other side closed it. Not called after close(). */
  onClose(listener: (error?: Error) => void): void;
  close(): void;
}

/** The bodies of the network requests, checked for types before anything happens; unknown fields are ignored. */
import type {
  EndpointSettings,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
} from '../../../api/networks.ts';
import { InvalidParameterError } from '../../../base/errors.ts';
import { checkShape, type Shape } from '../../shape.ts';

export const ENDPOINT_SETTINGS: Shape = {
  object: {
    IPAMConfig: {
      object: { IPv4Address: 'string', IPv6Address: 'string', LinkLocalIPs: { list: 'string' } },
    },
    Links: { list: 'string' },
    Aliases: { list: 'string' },
    MacAddress: 'string',
    DriverOpts: { map: 'string' },
    GwPriority: 'integer',
    NetworkID: 'string',
    EndpointID: 'string',
  },
};

const CREATE: Shape = {
  object: {
    Name: 'string',
    CheckDuplicate: 'boolean',
    Driver: 'string',
    Scope: 'string',
    Internal: 'boolean',
    Attachable: 'boolean',
    Ingress: 'boolean',
    ConfigOnly: 'boolean',
    ConfigFrom: { object: { Network: 'string' } },
    IPAM: {
      object: {
        Driver: 'string',
        Options: { map: 'string' },
        Config: {
          list: {
            object: {
              Subnet: 'string',
              IPRange: 'string',
              Gateway: 'string',
              AuxiliaryAddresses: { map: 'string' },
            },
          },
        },
      },
    },
    EnableIPv4: 'boolean',
    EnableIPv6: 'boolean',
    Options: { map: 'string' },
    Labels: { map: 'string' },
  },
};

const CONNECT: Shape = { object: { Container: 'string', EndpointConfig: ENDPOINT_SETTINGS } };
const DISCONNECT: Shape = { object: { Container: 'string', Force: 'boolean' } };

/** `withIPv4Choice`: before API 1.48 every network had IPv4, and clients that send the field mean nothing by it. */
export function checkNetworkCreate(body: unknown, withIPv4Choice: boolean): NetworkCreateRequest {
  const {
    CheckDuplicate: _,
    EnableIPv4,
    ...request
  } = checked(body, CREATE) as NetworkCreateRequest & {
    CheckDuplicate?: boolean;
  };
  const choice = withIPv4Choice && EnableIPv4 !== undefined ? { EnableIPv4 } : {};
  return { ...request, Name: request.Name ?? '', ...choice };
}

export function checkNetworkConnect(body: unknown): { container: string; settings: EndpointSettings } {
  const { Container, EndpointConfig } = checked(body, CONNECT) as NetworkConnectRequest;
  return { container: Container ?? '', settings: EndpointConfig ?? {} };
}

export function checkNetworkDisconnect(body: unknown): { container: string; force: boolean } {
  const { Container, Force } = checked(body, DISCONNECT) as NetworkDisconnectRequest;
  return { container: Container ?? '', force: Force ?? false };
}

function checked(body: unknown, shape: Shape): unknown {
  if (body === undefined) {
    throw new InvalidParameterError('invalid JSON: got EOF while reading request body');
  }
  checkShape(body, shape, '');
  return body;
}

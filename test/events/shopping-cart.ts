import type { Command, Event } from '@event-driven-io/emmett'

// A decider of Emmett: products are put into a cart and taken out of it, until it is confirmed.

type Product = {
  readonly name: string
  readonly quantity: number
  /** Of one of them, in cents. */
  readonly price: bigint
}

export type CartEvent =
  | Event<'ProductAdded', { readonly product: Product }>
  | Event<'ProductRemoved', { readonly name: string; readonly quantity: number }>
  | Event<'CartConfirmed', { readonly at: Date }>

export type CartCommand =
  | Command<'AddProduct', Product>
  | Command<'RemoveProduct', { readonly name: string; readonly quantity: number }>
  | Command<'ConfirmCart', { readonly at: Date }>

export interface Cart {
  readonly status: 'empty' | 'open' | 'confirmed'
  readonly quantities: Readonly<Record<string, number>>
  readonly total: bigint
  readonly confirmedAt?: Date
}

export const initialState = (): Cart => ({ status: 'empty', quantities: {}, total: 0n })

export function evolve(cart: Cart, event: CartEvent): Cart {
  switch (event.type) {
    case 'ProductAdded': {
      const { name, quantity, price } = event.data.product
      const quantities = { ...cart.quantities, [name]: (cart.quantities[name] ?? 0) + quantity }
      return { ...cart, status: 'open', quantities, total: cart.total + BigInt(quantity) * price }
    }
    case 'ProductRemoved': {
      const { name, quantity } = event.data
      return { ...cart, quantities: { ...cart.quantities, [name]: (cart.quantities[name] ?? 0) - quantity } }
    }
    case 'CartConfirmed':
      return { ...cart, status: 'confirmed', confirmedAt: event.data.at }
  }
}

export function decide(command: CartCommand, cart: Cart): CartEvent[] {
  if (cart.status === 'confirmed') throw new Error('the cart is confirmed')
  switch (command.type) {
    case 'AddProduct':
      return [{ type: 'ProductAdded', data: { product: command.data } }]
    case 'RemoveProduct': {
      const { name, quantity } = command.data
      if ((cart.quantities[name] ?? 0) < quantity) throw new Error(`there are not so many of ${name}`)
      return [{ type: 'ProductRemoved', data: command.data }]
    }
    case 'ConfirmCart':
      if (cart.status === 'empty') throw new Error('there is nothing in the cart')
      return [{ type: 'CartConfirmed', data: command.data }]
  }
}

export const decider = { decide, evolve, initialState }

export const added = (name: string, quantity = 1, price = 100n): CartEvent => ({
  type: 'ProductAdded',
  data: { product: { name, quantity, price } },
})

export const addProduct = (name: string, quantity = 1, price = 100n): CartCommand => ({
  type: 'AddProduct',
  data: { name, quantity, price },
})
